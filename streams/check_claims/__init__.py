"""The role `claims`: payments that other shops claim in; commands to their sections out.

`signatures` checks the raw bytes of a record; `handler` reads a believed record and forwards it.
"""
