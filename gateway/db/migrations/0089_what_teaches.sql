-- What teaches a slot's model is counted every minute, and read by a share of its units, without reading every label.

create index cycle_teaches on cycle (slot_id, hashint8(unit_id)) where (label ->> 'witnessed')::boolean;
