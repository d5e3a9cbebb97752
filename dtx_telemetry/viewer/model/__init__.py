"""Lines joined into lives: what ran for one request, under what, from when to when."""
