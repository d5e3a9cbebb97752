"""What the tests stand on: lines of output, real processes, brokers of their own, a database with a user."""
