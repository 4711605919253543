-- The limits that a direct connection asks for and a pooler does not pass on, as the role's own.
ALTER ROLE CURRENT_USER SET TimeZone = 'UTC';
ALTER ROLE CURRENT_USER SET lock_timeout = '5000';
ALTER ROLE CURRENT_USER SET statement_timeout = '15000';
