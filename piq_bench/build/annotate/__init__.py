"""Labels a data set by hand: a local web page for identities and attributes, and what becomes of its answers."""
