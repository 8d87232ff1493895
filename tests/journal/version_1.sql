PRAGMA application_id=1952541292;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE ask(
        tree INTEGER NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY(tree, id)) WITHOUT ROWID;
INSERT INTO "ask" VALUES(2,'ask-1',1);
INSERT INTO "ask" VALUES(2,'ask-2',2);
CREATE TABLE delivery(
        number INTEGER PRIMARY KEY AUTOINCREMENT, tree INTEGER NOT NULL, kind TEXT NOT NULL,
        key TEXT NOT NULL, payload TEXT NOT NULL, time REAL NOT NULL, UNIQUE(tree, key));
INSERT INTO "delivery" VALUES(1,2,'answer','ask-1','{"value":1}',1700000000.5);
CREATE TABLE event(
        tree INTEGER NOT NULL, seq INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
        path TEXT NOT NULL, parent TEXT, depth INTEGER NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY(tree, seq));
INSERT INTO "event" VALUES(2,0,1700000000.5,'run.started','root',NULL,0,'{"name":"boss"}');
INSERT INTO "event" VALUES(2,1,1700000001.5,'ask.raised','root/writer[0]','root',1,'{"ask_id":"ask-1"}');
INSERT INTO "event" VALUES(2,2,1700000002.5,'ask.raised','root/writer[0]','root',1,'{"ask_id":"ask-2","odd":"\ud800 \u00e9 \u0000"}');
INSERT INTO "event" VALUES(2,3,1700000003.5,'run.paused','root',NULL,0,'{"tree_usage":{"requests":3}}');
INSERT INTO "event" VALUES(3,0,1700000000.5,'run.started','root',NULL,0,'{"name":"boss"}');
CREATE TABLE text(name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "text" VALUES('session','a text');
CREATE TABLE tree(
        id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        task TEXT NOT NULL, about TEXT NOT NULL, status TEXT NOT NULL, usage TEXT NOT NULL,
        epoch INTEGER NOT NULL, owner TEXT NOT NULL, lease_until REAL NOT NULL,
        opened INTEGER NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
        forked_run_id TEXT, forked_seq INTEGER);
INSERT INTO "tree" VALUES(2,'old','boss','Write it','{"model":"test"}','paused','{"requests":3}',1,'',0.0,2,1700000000.0,1700000000.0,NULL,NULL);
INSERT INTO "tree" VALUES(3,'fork','boss','Write it','{}','running','{}',1,'',0.0,4,1700000005.0,1700000005.0,'old',2);
CREATE INDEX tree_opened ON tree(opened);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tree',3);
INSERT INTO "sqlite_sequence" VALUES('delivery',1);
COMMIT;
