"""The live page: what is read goes into a store, and a small server on loopback shows that to a browser."""
