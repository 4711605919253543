"""What moved a pack names the account: a column on PostgreSQL, filled by whoever writes, else by a trigger.

A worker of the version before goes on without it, and where it erases a person, what moved a pack follows the pack. The
trigger that refuses changes looks at each row now: it lets the column be filled once, and a pseudonym take
the place of an erased person. SQLite follows with the next version.
"""

from alembic import op

from control_plane.migrations.table_locks import lock_exclusively

revision = "0070"
down_revision = "0067"

TABLE = "credit_pack_entry"
UNCHANGEABLE = "credit_pack_entry is append-only; write a row that moves the pack back instead"
ACCOUNT = """
CREATE FUNCTION credit_pack_entry_account() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    SELECT p.user_id INTO NEW.user_id FROM credit_pack p WHERE p.id = NEW.pack_id;
    RETURN NEW;
END $$
"""
FOLLOW = """
CREATE FUNCTION credit_pack_renamed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE credit_pack_entry e SET user_id = NEW.user_id
        WHERE e.pack_id = NEW.id AND e.user_id IS DISTINCT FROM NEW.user_id;
    RETURN NULL;
END $$
"""
REFUSE = f"""
CREATE OR REPLACE FUNCTION refuse_pack_entry_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.user_id IS NULL OR EXISTS (SELECT FROM erasure e WHERE e.pseudonym = NEW.user_id))
                AND (NEW.journal_id, NEW.pack_id, NEW.amount) = (OLD.journal_id, OLD.pack_id, OLD.amount) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '{UNCHANGEABLE}';
END $$
"""
REFUSE_ALL = (
    "CREATE OR REPLACE FUNCTION refuse_pack_entry_change() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{UNCHANGEABLE}'; END $$"
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    lock_exclusively(op.get_bind(), "credit_pack", TABLE)
    op.execute(f"ALTER TABLE {TABLE} ADD COLUMN user_id text")
    op.execute(ACCOUNT)
    op.execute(
        f"CREATE TRIGGER {TABLE}_account BEFORE INSERT ON {TABLE} FOR EACH ROW WHEN (NEW.user_id IS NULL) "
        "EXECUTE FUNCTION credit_pack_entry_account()"
    )
    op.execute(FOLLOW)
    # At the end of the transaction: whoever knows of the column has renamed its rows by then, and nothing is left.
    op.execute(
        "CREATE CONSTRAINT TRIGGER credit_pack_renamed AFTER UPDATE OF user_id ON credit_pack "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION credit_pack_renamed()"
    )
    op.execute(f"DROP TRIGGER {TABLE}_no_change ON {TABLE}")
    op.execute(REFUSE)
    for name, events, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER {TABLE}_no_{name} BEFORE {events} ON {TABLE} "
            f"FOR EACH {each} EXECUTE FUNCTION refuse_pack_entry_change()"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("DROP TRIGGER IF EXISTS credit_pack_renamed ON credit_pack")
    op.execute("DROP FUNCTION IF EXISTS credit_pack_renamed")
    for name in ("no_change", "no_truncate", "account"):
        op.execute(f"DROP TRIGGER {TABLE}_{name} ON {TABLE}")
    op.execute("DROP FUNCTION credit_pack_entry_account")
    op.execute(f"ALTER TABLE {TABLE} DROP COLUMN user_id")
    op.execute(REFUSE_ALL)
    op.execute(
        f"CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_pack_entry_change()"
    )
