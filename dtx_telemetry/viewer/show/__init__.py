"""How results look: in a terminal, as a page, as JSON."""
