-- Apart from the types, because a new enum value cannot be used in its own transaction.
CREATE TABLE user_types (
    id bigint PRIMARY KEY,
    m mood,
    ms mood[],
    odd "Odd Enum",
    d small_positive,
    dm some_moods,
    st short_text,
    p pair,
    ps pair[],
    n nested,
    cp checked_pair,
    whole_row numbers
);
INSERT INTO user_types VALUES
    (1, 'sad', '{sad,"so, so"}', 'A ', 1, '{sad}', 'x', '(1,"two words")',
        ARRAY[(1, 'a')::pair, (2, NULL)::pair],
        ROW(ROW(1, 'x')::pair, ARRAY[ROW(2, 'y')::pair], 'between', 5, 1.00)::nested, '(1,b)',
        (SELECT whole FROM numbers AS whole WHERE id = 1)),
    (2, 'it''s "fine"', '{"it''s \"fine\"",NULL,""}', 'a', 999, '{}', '', '(,)', '{}',
        ROW(NULL, NULL, NULL, NULL, NULL)::nested, '(,"""")', NULL),
    (3, '', '{{sad,ünï},{between,sad}}', 'A', NULL, NULL, 'y', NULL, '{NULL,"(1,\"\\\"q\\\"\")"}',
        NULL, NULL, (SELECT whole FROM numbers AS whole WHERE id = 3)),
    (4, NULL, NULL, NULL, NULL, '{ünï,between}', 'z', '(5,"comma, ""quote"" \\ (x)")', NULL,
        ROW(ROW(NULL, '')::pair, '{}', 'sad', 1, 'NaN')::nested, NULL, NULL);
CREATE TABLE typed_key (m mood, p positive, n numeric, PRIMARY KEY (m, p, n));
INSERT INTO typed_key VALUES ('sad', 1, 1.0), ('sad', 1, 2.00), ('', 2, 'NaN');
CREATE TABLE of_type OF pair (PRIMARY KEY (a));
INSERT INTO of_type VALUES (1, 'typed'), (2, NULL);
