-- A quote keeps what it said of its part: the catalogue may be edited while the quote lives, and after it was ordered.

alter table quote add column sku text, add column part_name text, add column pack_size int check (pack_size > 0);
alter table quote disable trigger immutable;
update quote q set sku = p.sku, part_name = p.name, pack_size = p.pack_size
from part p where p.tenant_id = q.tenant_id and p.part_id = q.part_id;
alter table quote enable trigger immutable;
