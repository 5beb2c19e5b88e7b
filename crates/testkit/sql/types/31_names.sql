-- Names with capitals, spaces, quotes, dots, Unicode, 63 bytes, keywords, percent and dollar.
CREATE TABLE "Odd ""Schema"".x"."Ta.ble ""with"" 'quotes' \ and $1 %s" (
    "Id" bigint PRIMARY KEY,
    "select" int,
    "user" text,
    "with space" text,
    "dot.ted" text,
    "quo""te" text,
    "back\slash" text,
    "ünïcödé 北京 🐘" text,
    "new
line" text,
    "ctid2 -- no comment" text,
    "AbC" int,
    "abc" int,
    "a_column_with_a_name_of_exactly_sixty_three_bytes_in_all_ok_123" text
);
INSERT INTO "Odd ""Schema"".x"."Ta.ble ""with"" 'quotes' \ and $1 %s"
SELECT i, i, 'u', 's', 'd', 'q', 'b', 'n', 'l', 'c', 1, 2, 'long' FROM generate_series(1, 5) AS i;
CREATE TABLE "Odd ""Schema"".x"."table" ("order" int, "group" text, PRIMARY KEY ("order"));
INSERT INTO "Odd ""Schema"".x"."table" VALUES (1, 'a'), (2, 'b');
CREATE TABLE "éééééééééééééééééééééééééééééé_63" (id int PRIMARY KEY, v text);
INSERT INTO "éééééééééééééééééééééééééééééé_63" VALUES (1, 'long'), (2, NULL);
CREATE TABLE "UPPER" (id int PRIMARY KEY);
CREATE TABLE upper (id int PRIMARY KEY);
INSERT INTO "UPPER" VALUES (1);
INSERT INTO upper VALUES (2);
CREATE SEQUENCE "Odd ""Schema"".x"."Seq 'x'" INCREMENT -3 MAXVALUE 100 MINVALUE -1000 START 50 CYCLE;
SELECT nextval('"Odd ""Schema"".x"."Seq ''x''"');
