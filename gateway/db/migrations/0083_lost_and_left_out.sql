-- A gap that its unit cannot fill stays open a while longer: what the unit still had may be on its way to another process.

alter table gap add column lost_at timestamptz;   -- when the unit first said so
create index gap_given_up on gap (lost_at) where closed_at is null and lost_at is not null;

-- What was left out of a message goes, once it is released, where its own samples stand: the others came with another message.
alter table quarantine add column places int[];   -- of its samples, from 0: those that were new, where not all of them were
