-- Names that hurt: reserved words, mixed case, spaces, quotes, a schema that needs quotes; no
-- foreign key; keys of a type that no key may have; no primary key on the memberships; roles
-- in a third table; a view that looks like the users.
CREATE SCHEMA "My App";
CREATE TABLE "My App"."Order" (id int PRIMARY KEY, "user" text, total numeric);
CREATE TABLE "My App"."Company" (id char(8) PRIMARY KEY, "Name" text NOT NULL, "select" text);
CREATE TABLE "My App"."User" (
    id bigint PRIMARY KEY, "E-Mail" text, "First Name" text, "Last ""Name""" text, "Last Name" text, "Password" text, "Is Active" boolean, "on" boolean);
CREATE TABLE "My App"."Role" (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE "My App"."Company Users" ("Company ID" char(8), "User ID" bigint NOT NULL, "Role ID" int, UNIQUE ("Company ID", "User ID"));
CREATE VIEW "My App"."Members" AS SELECT id, "E-Mail" FROM "My App"."User";
INSERT INTO "My App"."Company" VALUES ('c0000001', 'Canary Works', 'x'), ('c0000002', 'Canary Two', 'y');
INSERT INTO "My App"."User" (id, "E-Mail", "First Name", "Last Name", "Password", "Is Active") VALUES
    (1, 'canary1@corp.example', 'Canary', 'One', '$1$canary$canary', true), (2, '', 'Canary', 'Two', '00112233445566778899aabbccddeeff', NULL), (3, 'canary3@corp.example', 'Canary', 'Three', NULL, false);
INSERT INTO "My App"."Role" VALUES (1, 'Team Lead'), (2, 'Reader');
INSERT INTO "My App"."Company Users" VALUES ('c0000001', 1, 1), ('c0000001', 2, 2), ('c0000002', 1, NULL), (NULL, 2, 2);
