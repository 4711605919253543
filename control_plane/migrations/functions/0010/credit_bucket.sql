-- MurmurHash3 (x86, 32 bit, seed 0) modulo 100 plus 1. A product of two words does not fit bigint: one is cut in half.
CREATE FUNCTION credit_bucket(of_key text) RETURNS integer LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    bytes bytea := convert_to(of_key, 'UTF8');
    size integer := length(bytes);
    h bigint := 0;
    k bigint;
    place integer := 0;
    taken integer;
BEGIN
    WHILE place < size LOOP
        k := 0;
        taken := least(size - place, 4);
        FOR i IN REVERSE taken - 1..0 LOOP
            k := (k << 8) | get_byte(bytes, place + i);
        END LOOP;
        k := (k * 11601 + (((k * 52382) & 65535) << 16)) & 4294967295;
        k := ((k << 15) | (k >> 17)) & 4294967295;
        k := (k * 13715 + (((k * 7047) & 65535) << 16)) & 4294967295;
        h := h # k;
        IF taken = 4 THEN
            h := ((h << 13) | (h >> 19)) & 4294967295;
            h := (h * 5 + 3864292196) & 4294967295;
        END IF;
        place := place + 4;
    END LOOP;
    h := h # size;
    h := h # (h >> 16);
    h := (h * 51819 + (((h * 34283) & 65535) << 16)) & 4294967295;
    h := h # (h >> 13);
    h := (h * 44597 + (((h * 49842) & 65535) << 16)) & 4294967295;
    h := h # (h >> 16);
    RETURN h % 100 + 1;
END $$
