"""Facts are found by their payment: disputes and refunds that fail name nothing else of whoever paid."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0028"

SQLITE = "UPDATE billing_fact SET payment_intent = json_extract(document, '$.payment_intent')"
POSTGRESQL = "UPDATE billing_fact SET payment_intent = document::json ->> 'payment_intent'"
WHERE = " WHERE kind IN ('InvoicePaid', 'Payment', 'Refund', 'PackPaid')"
IS_NAMED = sa.text("payment_intent IS NOT NULL")


def upgrade() -> None:
    op.add_column("billing_fact", sa.Column("payment_intent", sa.Text))
    op.execute((POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE) + WHERE)
    op.create_index(
        "ix_billing_fact_payment",
        "billing_fact",
        ["payment_intent"],
        sqlite_where=IS_NAMED,
        postgresql_where=IS_NAMED,
    )


def downgrade() -> None:
    op.drop_index("ix_billing_fact_payment", "billing_fact")
    op.drop_column("billing_fact", "payment_intent")
