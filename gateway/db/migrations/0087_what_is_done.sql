-- Messages are let go by when they were done, not by when they were written: some wait for months.

create index outbox_done on outbox (coalesce(sent_at, failed_at)) where coalesce(sent_at, failed_at) is not null;
