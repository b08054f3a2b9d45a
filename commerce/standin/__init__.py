"""A payment stand-in: Stripe's API as far as Wearwell uses it, over real HTTP, where no money moves.

It keeps the promises that matter and that no public one keeps: idempotency, authorisations, 3-D Secure, a refund
ledger, a hosted page to click, signed webhooks, and faults on request.
"""
