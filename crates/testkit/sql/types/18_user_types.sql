-- Enums, domains, composites, and what can be built of them: their OIDs differ by server.
CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s "fine"', '', 'ünï');
ALTER TYPE mood ADD VALUE 'between' BEFORE 'so, so';
CREATE TYPE "Odd Enum" AS ENUM ('A', 'a', 'A ');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small_positive AS positive CHECK (VALUE < 1000);
CREATE DOMAIN some_moods AS mood[] CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN short_text AS text NOT NULL DEFAULT 'short' CHECK (length(VALUE) < 100);
CREATE TYPE pair AS (a int, "B c" text);
CREATE TYPE nested AS (p pair, ps pair[], m mood, d positive, n numeric);
CREATE DOMAIN checked_pair AS pair CHECK ((VALUE).a IS DISTINCT FROM 13);
