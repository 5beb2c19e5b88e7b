-- Everything stands in two schemas, so that it can be moved and compared by itself.
CREATE SCHEMA matrix;
CREATE SCHEMA "Odd ""Schema"".x";
SET search_path = matrix, public;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
