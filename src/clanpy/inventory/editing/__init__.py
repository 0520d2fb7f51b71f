"""Changing the inventory by command: values, and machines with all that names them."""
