-- No key is declared anywhere, primary or foreign, and users name their account themselves.
CREATE TABLE account (id int NOT NULL, name varchar(100), domain_name text, deleted boolean);
CREATE TABLE app_user (id int NOT NULL, account_id int, email text, pwd text, is_admin boolean, is_verified smallint);
CREATE TABLE audit_log (account_id int, user_id int, what text);
INSERT INTO account VALUES (1, 'Canary Works', 'corp.example', false), (2, 'Canary Gone', NULL, true);
INSERT INTO app_user VALUES (1, 1, 'canary1@corp.example', '$2y$10$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', true, 1), (2, NULL, 'canary2@corp.example', NULL, NULL, 0);
