-- Parts, fit, quotes, orders, payments. Owned by commerce/, which knows units, slots and people only as ids.

create table part(
  part_id int generated always as identity primary key,
  tenant_id int not null references tenant,
  sku text not null,
  gtin char(14) check (gtin ~ '^[0-9]{14}$'),
  name text not null,
  pack_size int not null default 1 check (pack_size > 0),
  lifecycle text not null default 'active' check (lifecycle in ('announced', 'active', 'last_buy', 'discontinued')),
  superseded_by int,
  unique (tenant_id, sku), unique (tenant_id, part_id),
  foreign key (tenant_id, superseded_by) references part (tenant_id, part_id),
  check (superseded_by <> part_id));
call isolate('wearwell.part', 'select');
alter table cycle add foreign key (tenant_id, part_id) references part (tenant_id, part_id);

create table fitment(                        -- a stated fit; what no row states does not fit
  fitment_id int generated always as identity primary key,
  tenant_id int not null,
  part_id int not null,
  model_id int not null,
  slot_id int not null,
  hw_rev text,                               -- null: every revision
  region char(2),                            -- null: every region
  serials text not null default '',          -- a prefix; empty: every serial
  preference int not null default 100,       -- lower first
  valid tstzrange not null default '(,)',
  foreign key (tenant_id, part_id) references part (tenant_id, part_id),
  foreign key (tenant_id, model_id) references product_model (tenant_id, model_id),
  foreign key (model_id, slot_id) references slot (model_id, slot_id),
  exclude using gist (part_id with =, slot_id with =, (coalesce(hw_rev, '*')) with =,
                      (coalesce(region, '**')) with =, serials with =, valid with &&));
call isolate('wearwell.fitment', 'select');

create table offer(                          -- what a part costs in a region, and how soon it is there
  offer_id int generated always as identity primary key,
  tenant_id int not null,
  part_id int not null,
  region char(2) not null,
  currency char(3) not null check (currency ~ '^[A-Z]{3}$'),
  price_minor bigint not null check (price_minor > 0),      -- tax included: what the owner sees
  tax_bp int not null default 0 check (tax_bp between 0 and 5000),   -- of which tax, in basis points of the net
  shipping_minor bigint not null default 0 check (shipping_minor >= 0),
  stock int check (stock >= 0),              -- null: made to order
  delivery_d real not null default 3 check (delivery_d > 0),
  valid tstzrange not null default '(,)',
  foreign key (tenant_id, part_id) references part (tenant_id, part_id),
  unique (tenant_id, offer_id),
  exclude using gist (part_id with =, region with =, valid with &&));
call isolate('wearwell.offer', 'select, update');   -- an order takes from its stock

create table quote(                          -- what was shown; it never changes
  quote_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  cycle_id bigint not null,
  part_id int not null,
  offer_id int not null,                     -- what it was made of; an order takes from its stock
  quantity int not null default 1 check (quantity > 0),
  currency char(3) not null,
  price_minor bigint not null check (price_minor > 0),
  shipping_minor bigint not null check (shipping_minor >= 0),
  tax_minor bigint not null check (tax_minor >= 0),
  total_minor bigint not null check (total_minor = price_minor + shipping_minor),
  delivery_d real not null,
  created_at timestamptz not null,
  expires_at timestamptz not null check (expires_at > created_at),
  foreign key (tenant_id, part_id) references part (tenant_id, part_id),
  foreign key (tenant_id, offer_id) references offer (tenant_id, offer_id),
  foreign key (tenant_id, cycle_id, unit_id, slot_id) references cycle (tenant_id, cycle_id, unit_id, slot_id),
  unique (tenant_id, quote_id), unique (quote_id, total_minor, currency));
create function refuse_rewrite() returns trigger language plpgsql as $$
begin raise exception '% is immutable', tg_table_name; end $$;
create trigger immutable before update on quote for each row execute function refuse_rewrite();
create index quote_of_unit on quote (unit_id, slot_id, cycle_id);
call isolate('wearwell.quote', 'select, insert');

create table customer(                       -- a person at the payment provider
  party_id bigint primary key,
  tenant_id int not null,
  provider_id text not null unique,
  payment_method text,                       -- saved with consent; null: none
  card text,                                 -- brand and last four, as shown to its owner
  foreign key (tenant_id, party_id) references party (tenant_id, party_id),
  unique (tenant_id, party_id));
call isolate('wearwell.customer', 'select, insert, update');

create table purchase(                       -- an order; "order" is a word of SQL's
  order_id bigint generated always as identity primary key,
  tenant_id int not null,
  number text not null,                      -- what people quote: WW-…
  unit_id bigint not null,
  slot_id int not null,
  cycle_id bigint not null,
  quote_id bigint not null,
  party_id bigint,                           -- the owner; null: a guest, known to the payment provider only
  total_minor bigint not null,
  currency char(3) not null,
  state text not null check (state in ('created', 'paying', 'paid', 'released', 'shipped', 'delivered',
                                       'fitted', 'cancelled', 'refunded')),
  ship_to bigint,                            -- site_id; null: the address given at checkout
  created_at timestamptz not null,
  updated_at timestamptz not null,
  foreign key (quote_id, total_minor, currency) references quote (quote_id, total_minor, currency),  -- charged = shown
  foreign key (tenant_id, quote_id) references quote (tenant_id, quote_id),
  foreign key (tenant_id, cycle_id, unit_id, slot_id) references cycle (tenant_id, cycle_id, unit_id, slot_id),
  foreign key (tenant_id, party_id) references party (tenant_id, party_id),
  foreign key (tenant_id, ship_to) references site (tenant_id, site_id),
  unique (tenant_id, number), unique (tenant_id, order_id), unique (order_id, total_minor, currency));
create unique index one_open_order on purchase (unit_id, slot_id)
  where state in ('created', 'paying', 'paid', 'released', 'shipped', 'delivered');
create index purchase_of_unit on purchase (unit_id);
create index purchase_of_quote on purchase (quote_id);
create index purchase_by_state on purchase (tenant_id, state, order_id);
call isolate('wearwell.purchase', 'select, insert, update');

create table purchase_step(                  -- every transition, in order: the order's own history
  tenant_id int not null,
  order_id bigint not null,
  step int not null,
  state text not null,
  at timestamptz not null,
  cause text not null,                       -- tap, webhook:evt_…, fulfilment, device, …
  primary key (order_id, step),
  foreign key (tenant_id, order_id) references purchase (tenant_id, order_id));
call isolate('wearwell.purchase_step', 'select, insert');

create table payment(                        -- one attempt to charge; its key is stored before the call
  payment_id bigint generated always as identity primary key,
  tenant_id int not null,
  order_id bigint not null,
  attempt int not null check (attempt > 0),
  key text not null unique,                  -- {order number}:{attempt}
  request jsonb not null,                    -- what is asked under that key: the same key asks the same again
  amount_minor bigint not null,
  currency char(3) not null,
  provider_id text unique,                   -- payment intent or checkout session
  kind text not null check (kind in ('intent', 'checkout')),
  state text not null check (state in ('created', 'indeterminate', 'requires_action', 'authorised', 'captured',
                                       'failed', 'cancelled', 'expired')),
  url text,                                  -- where the owner goes on: hosted page or 3-D Secure
  error text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  foreign key (order_id, amount_minor, currency) references purchase (order_id, total_minor, currency),
  foreign key (tenant_id, order_id) references purchase (tenant_id, order_id),
  unique (order_id, attempt), unique (tenant_id, payment_id));
create unique index one_capture on payment (order_id) where state in ('authorised', 'captured');
create index payment_unsettled on payment (tenant_id, updated_at)
  where state in ('created', 'indeterminate', 'requires_action', 'authorised');
call isolate('wearwell.payment', 'select, insert, update');

create table refund(                         -- the ledger of what went back; never more than was captured
  refund_id bigint generated always as identity primary key,
  tenant_id int not null,
  order_id bigint not null,
  payment_id bigint not null,
  key text not null unique,                  -- {order number}:refund:{n}
  amount_minor bigint not null check (amount_minor > 0),
  state text not null check (state in ('created', 'done', 'failed')),   -- created: asked for, no answer yet
  cause text not null,
  provider_id text unique,
  error text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  foreign key (tenant_id, order_id) references purchase (tenant_id, order_id),
  foreign key (tenant_id, payment_id) references payment (tenant_id, payment_id));
create index refund_of_payment on refund (payment_id);
create index refund_unanswered on refund (tenant_id, updated_at) where state = 'created';
call isolate('wearwell.refund', 'select, insert, update');

create table shipment(
  shipment_id bigint generated always as identity primary key,
  tenant_id int not null,
  order_id bigint not null unique,
  carrier text,
  tracking text,
  shipped_at timestamptz,
  delivered_at timestamptz,
  foreign key (tenant_id, order_id) references purchase (tenant_id, order_id));
call isolate('wearwell.shipment', 'select, insert, update');

create table spare(                          -- parts an owner has at home, from deliveries and answers
  tenant_id int not null,
  unit_id bigint not null,
  slot_id int not null,
  count int not null default 0 check (count >= 0),
  primary key (unit_id, slot_id),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id));
call isolate('wearwell.spare', 'select, insert, update');

create table provider_event(                 -- webhook inbox: verified, stored once, then worked on
  tenant_id int not null references tenant,
  source text not null,
  event_id text not null,
  type text not null,
  payload jsonb not null,
  received_at timestamptz not null,
  handled_at timestamptz,
  outcome text,
  primary key (source, event_id));
create index provider_event_waiting on provider_event (tenant_id, received_at) where handled_at is null;
call isolate('wearwell.provider_event', 'select, insert, update');
