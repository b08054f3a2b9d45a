-- A quote keeps what it said of its part: the catalogue may be edited while the quote lives, and after it was ordered.
-- Of quotes made before, and by processes from before, the catalogue tells.

alter table quote add column sku text, add column part_name text, add column pack_size int check (pack_size > 0);
