CREATE ROLE reader;
CREATE ROLE writer;
CREATE ROLE "Odd role";
CREATE ROLE somebody LOGIN;
