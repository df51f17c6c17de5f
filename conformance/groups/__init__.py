"""The tests, a module or several per group; conformance.catalogue finds them."""
