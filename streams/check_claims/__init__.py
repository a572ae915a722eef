"""What other shops say of payments in; what sections are told of it, out.

`signatures` believes or refuses raw bytes; `handler` reads what was believed, and forwards it.
"""
