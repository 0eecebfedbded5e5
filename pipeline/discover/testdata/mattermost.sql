-- Mattermost: names written together, no foreign keys, a composite primary key, deletes as
-- times in milliseconds, roles as booleans and as words in one text.
CREATE TABLE users (
    id varchar(26) PRIMARY KEY, createat bigint, updateat bigint, deleteat bigint, username varchar(64) UNIQUE, password varchar(128), authdata varchar(128) UNIQUE,
    authservice varchar(32), email varchar(128) UNIQUE, emailverified boolean, nickname varchar(64), firstname varchar(64), lastname varchar(64), roles varchar(256),
    props varchar(4000), lastpasswordupdate bigint, mfaactive boolean, mfasecret varchar(128), remoteid varchar(26));
CREATE INDEX idx_users_email_lower_textpattern ON users (lower(email) text_pattern_ops);
CREATE TABLE teams (
    id varchar(26) PRIMARY KEY, createat bigint, updateat bigint, deleteat bigint, displayname varchar(64), name varchar(64) UNIQUE, email varchar(128),
    type varchar(255), alloweddomains varchar(1000), inviteid varchar(32), schemeid varchar(26), groupconstrained boolean);
CREATE TABLE teammembers (
    teamid varchar(26) NOT NULL, userid varchar(26) NOT NULL, roles varchar(64), deleteat bigint, schemeuser boolean, schemeadmin boolean, schemeguest boolean,
    PRIMARY KEY (teamid, userid));
CREATE INDEX ON teammembers (userid);
INSERT INTO users (id, deleteat, username, password, authservice, email, emailverified, nickname, firstname, lastname, roles) VALUES
    ('u1', 0, 'canary1', '$pbkdf2$f=SHA256,w=600000,l=32$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '', 'canary1@corp.example', true, '', 'Canary', 'One', 'system_user'),
    ('u2', 0, 'canary2', '$2a$10$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', '', 'CANARY1@corp.example', true, '', 'Canary', '', 'system_user'),
    ('u3', 0, 'canary3', '', 'saml', 'canary3@corp.example', false, '', '', '', 'system_user system_admin'),
    ('u4', 1700000000000, 'canary4', '', '', 'canary4@corp.example', false, '', '', '', 'system_user');
INSERT INTO teams (id, deleteat, displayname, name, type) VALUES ('t1', 0, 'Canary Works', 'canary-works', 'O'), ('t2', 0, 'Canary Two', 'canary-two', 'I'), ('t3', 1700000000000, 'Canary Gone', 'canary-gone', 'O');
INSERT INTO teammembers VALUES ('t1', 'u1', 'custom_lead team_post', 0, true, true, false), ('t1', 'u2', '', 0, true, false, NULL), ('t2', 'u1', NULL, 0, false, false, true), ('t1', 'u3', '', 1700000000000, true, false, false);
