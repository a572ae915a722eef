-- ARGV[1] id. Returns the item.
return item_now(ARGV[1])
