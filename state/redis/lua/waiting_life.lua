-- Return which start of which server has this room.
return life()
