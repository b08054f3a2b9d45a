"""Parts, quotes, orders and payments: knows units, slots and people only as ids."""
