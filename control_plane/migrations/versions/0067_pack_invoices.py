"""A dispute leads by its payment to the pack of an invoice, which sold no subscription; also to one from before."""

from alembic import op

revision = "0067"
down_revision = "0065"

UPGRADE = """
UPDATE billing_fact SET payment_intent = {invoice}
    WHERE payment_intent IS NULL AND kind = 'PackPaid' AND {invoice} IS NOT NULL
"""
DOWNGRADE = "UPDATE billing_fact SET payment_intent = NULL WHERE kind = 'PackPaid' AND payment_intent = {invoice}"
INVOICE = {
    "sqlite": "json_extract(document, '$.invoice_id')",
    "postgresql": "(CAST(document AS json) ->> 'invoice_id')",
}


def upgrade() -> None:
    op.execute(UPGRADE.format(invoice=INVOICE[op.get_bind().dialect.name]))


def downgrade() -> None:
    op.execute(DOWNGRADE.format(invoice=INVOICE[op.get_bind().dialect.name]))
