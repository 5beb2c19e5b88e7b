-- Text, padding, empty strings against NULL, bytes that need escapes in COPY, bits.
CREATE TABLE texts (
    id bigint PRIMARY KEY,
    t text,
    vc varchar(20),
    c char(8),
    one "char",
    n name,
    by bytea,
    fixed bit(5),
    varying_bits bit varying(70),
    u uuid
);
INSERT INTO texts VALUES
    (1, '', '', '', '', '', '', B'00000', B'', '00000000-0000-0000-0000-000000000000'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, E'tab\there\nline\r\nbackslash\\ quote'' \b\f\v', 'trailing   ', 'pad', 'x', 'a name',
        '\x00ff005c5c0a0d09'::bytea, B'10101', B'1', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    (4, '\N', '\.', '\N', '\', '\N', '\x5c4e'::bytea, B'11111', B'0',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
    (5, 'grüße 北京 🐘 é é', 'ÄÖÜ', 'ü', '!', 'ünï', decode('fffe', 'hex'), B'00001',
        B'1010101010101010101010101010101010101010101010101010101010101010101010', NULL),
    (6, repeat('x', 5000), '"quoted", ''single''', '{a,b}', ',', repeat('n', 63),
        decode(repeat('00', 3000), 'hex'), B'01010', B'101',
        '12345678-1234-1234-1234-123456789abc'),
    (7, 'NULL', 'null', 'NULL', 'N', 'NULL', 'NULL', B'01110', B'11', NULL),
    (8, ' leading', ' both ', ' lead', ' ', ' ', '\x20', B'10000', B'001', NULL);
