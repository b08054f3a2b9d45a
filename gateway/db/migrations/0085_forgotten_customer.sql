-- A customer whom the payment provider no longer knows is forgotten by whoever meets that, and made anew.

grant delete on customer to wearwell_app;
