-- json keeps its spacing, order and duplicate keys; jsonb keeps the scale of its numbers.
CREATE TABLE documents (
    id bigint PRIMARY KEY,
    j json,
    jb jsonb,
    x xml,
    tsv tsvector,
    tsq tsquery,
    jp jsonpath
);
INSERT INTO documents VALUES
    (1, '{"b" :  1,   "a":2, "b":3 }', '{"b": 1, "a": 2, "b": 3}', '<a  b="1">text</a>',
        'fat:1A cat:2B,5C sat', 'fat & (cat | !rat:AB) <-> sat:*', '$.a[*] ? (@.b > 1)'),
    (2, ' [1.0, 1.00, 1e5,
 null] ', '[1.0, 1.00, 1e5, null, 1e-20]', '<!-- only --><a/>', '', '', 'strict $'),
    (3, '"\u00fc \" \\ \/ \n"', '"\u00fc \" \\ \n"', 'content only', $$'it''s' 'a b':3 '\\'$$,
        $$'a b' & 'it''s'$$, '$."key with space"'),
    (4, 'null', 'null', '', 'x:16383D', '!x', '$'),
    (5, NULL, NULL, NULL, NULL, NULL, NULL),
    (6, '{}', '{}', '<ü>北京</ü>', 'ü:1', 'ü', '$.*'),
    (7, '[]', '[[], {}, [[]], ""]', '<a>&lt;&amp;</a>', 'a:1,2,3,4,5', 'a <2> b', '$[0 to last]'),
    (8, '{"n": 12345678901234567890.12345678901234567890}',
        '{"n": 12345678901234567890.12345678901234567890, "z": -0.0}', NULL, NULL, NULL, NULL);
