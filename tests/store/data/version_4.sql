BEGIN TRANSACTION;
CREATE TABLE checkpoints (
	task_id TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (task_id, phase), 
	FOREIGN KEY(task_id) REFERENCES tasks (task_id)
);
CREATE TABLE code (
	hash TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (hash)
);
INSERT INTO "code" VALUES('d9cae0dbdbf078b2020e2abe5fcd74bc1edba83c35f6b8a86d638ed9b8d3d1f9','QUJD');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	task_id TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	type TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (task_id, seq), 
	FOREIGN KEY(task_id) REFERENCES tasks (task_id)
);
INSERT INTO "events" VALUES(1,'01KASTN0V0000000000REP0RT1',1,'task_created','{"task_id":"01KASTN0V0000000000REP0RT1","session":"nb:report-4707010e","seq":1,"at":"2026-11-25T12:00:01.000000Z","type":"task_created","name":"fit","agent":"fit","phases":["fit"],"inputs":{"n":1},"labels":{},"key":"once","notebook":"/work/report.ipynb"}');
INSERT INTO "events" VALUES(2,'01KASTN0V0000000000REP0RT1',2,'phase_started','{"task_id":"01KASTN0V0000000000REP0RT1","session":"nb:report-4707010e","seq":2,"at":"2026-11-25T12:00:02.000000Z","phase":"fit","attempt":1,"kind":"phase","type":"phase_started","worker":"process-1"}');
INSERT INTO "events" VALUES(3,'01KASTN0V0000000000REP0RT1',3,'phase_complete','{"task_id":"01KASTN0V0000000000REP0RT1","session":"nb:report-4707010e","seq":3,"at":"2026-11-25T12:00:03.000000Z","phase":"fit","attempt":1,"kind":"phase","type":"phase_complete","result":{"phase":"fit","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-25T12:00:00.000000Z","ended_at":"2026-11-25T12:00:02.000000Z","duration_s":2.0,"output":2,"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}}');
INSERT INTO "events" VALUES(4,'01KASTN0V0000000000REP0RT1',4,'task_complete','{"task_id":"01KASTN0V0000000000REP0RT1","session":"nb:report-4707010e","seq":4,"at":"2026-11-25T12:00:04.000000Z","type":"task_complete","duration_s":2.0}');
INSERT INTO "events" VALUES(5,'01KASTN0V0000000000CH0SEN1',1,'task_created','{"task_id":"01KASTN0V0000000000CH0SEN1","session":"nightly","seq":1,"at":"2026-11-25T12:00:01.000000Z","type":"task_created","name":"fit","agent":"fit","phases":["fit"],"inputs":{"n":2},"labels":{},"key":null,"notebook":"/work/report.ipynb"}');
INSERT INTO "events" VALUES(6,'01KASTN0V0000000000CH0SEN1',2,'phase_started','{"task_id":"01KASTN0V0000000000CH0SEN1","session":"nightly","seq":2,"at":"2026-11-25T12:00:02.000000Z","phase":"fit","attempt":1,"kind":"phase","type":"phase_started","worker":"process-1"}');
INSERT INTO "events" VALUES(7,'01KASTN0V0000000000CH0SEN1',3,'phase_complete','{"task_id":"01KASTN0V0000000000CH0SEN1","session":"nightly","seq":3,"at":"2026-11-25T12:00:03.000000Z","phase":"fit","attempt":1,"kind":"phase","type":"phase_complete","result":{"phase":"fit","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-25T12:00:00.000000Z","ended_at":"2026-11-25T12:00:02.000000Z","duration_s":2.0,"output":3,"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}}');
INSERT INTO "events" VALUES(8,'01KASTN0V0000000000CH0SEN1',4,'task_complete','{"task_id":"01KASTN0V0000000000CH0SEN1","session":"nightly","seq":4,"at":"2026-11-25T12:00:04.000000Z","type":"task_complete","duration_s":2.0}');
INSERT INTO "events" VALUES(9,'01KASTN0V0000000000SCR1PT1',1,'task_created','{"task_id":"01KASTN0V0000000000SCR1PT1","session":"py:job-1f0e9d8c","seq":1,"at":"2026-11-25T12:00:01.000000Z","type":"task_created","name":"fit","agent":"fit","phases":["fit"],"inputs":{"n":3},"labels":{},"key":null,"notebook":null}');
INSERT INTO "events" VALUES(10,'01KASTN0V0000000000SCR1PT1',2,'phase_started','{"task_id":"01KASTN0V0000000000SCR1PT1","session":"py:job-1f0e9d8c","seq":2,"at":"2026-11-25T12:00:02.000000Z","phase":"fit","attempt":1,"kind":"phase","type":"phase_started","worker":"process-1"}');
INSERT INTO "events" VALUES(11,'01KASTN0V0000000000SCR1PT1',3,'phase_complete','{"task_id":"01KASTN0V0000000000SCR1PT1","session":"py:job-1f0e9d8c","seq":3,"at":"2026-11-25T12:00:03.000000Z","phase":"fit","attempt":1,"kind":"phase","type":"phase_complete","result":{"phase":"fit","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-25T12:00:00.000000Z","ended_at":"2026-11-25T12:00:02.000000Z","duration_s":2.0,"output":4,"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}}');
INSERT INTO "events" VALUES(12,'01KASTN0V0000000000SCR1PT1',4,'task_complete','{"task_id":"01KASTN0V0000000000SCR1PT1","session":"py:job-1f0e9d8c","seq":4,"at":"2026-11-25T12:00:04.000000Z","type":"task_complete","duration_s":2.0}');
CREATE TABLE hosts (
	host TEXT NOT NULL, 
	machine TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	pid_started TEXT NOT NULL, 
	counter INTEGER NOT NULL, 
	PRIMARY KEY (host)
);
CREATE TABLE launches (
	id INTEGER NOT NULL, 
	task_id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	session TEXT NOT NULL, 
	idempotency_key TEXT, 
	"key" TEXT, 
	inputs TEXT NOT NULL, 
	body TEXT, 
	code_hash TEXT, 
	PRIMARY KEY (id), 
	UNIQUE (owner, session, idempotency_key), 
	UNIQUE (task_id), 
	FOREIGN KEY(task_id) REFERENCES tasks (task_id), 
	FOREIGN KEY(code_hash) REFERENCES code (hash)
);
INSERT INTO "launches" VALUES(1,'01KASTN0V0000000000REP0RT1','ada','nb:report-4707010e',NULL,'once','{"n":1}','{"agent":null,"options":{"name":null,"key":"once","if_exists":"attach","phases":null,"approve_before":[],"executor":null,"recovery":null,"timeouts":null,"env":{},"secrets":{},"labels":{},"priority":0},"runtime":{"python":"3.11.2","executable":"/usr/bin/python3","cwd":"/work","sys_path":[],"host":"00000000000000000000000000000000","notebook":"/work/report.ipynb"},"idempotency_key":null,"traceparent":null}','d9cae0dbdbf078b2020e2abe5fcd74bc1edba83c35f6b8a86d638ed9b8d3d1f9');
INSERT INTO "launches" VALUES(2,'01KASTN0V0000000000CH0SEN1','ada','nightly',NULL,NULL,'{"n":2}','{"agent":null,"options":{"name":null,"key":null,"if_exists":"attach","phases":null,"approve_before":[],"executor":null,"recovery":null,"timeouts":null,"env":{},"secrets":{},"labels":{},"priority":0},"runtime":{"python":"3.11.2","executable":"/usr/bin/python3","cwd":"/work","sys_path":[],"host":"00000000000000000000000000000000","notebook":"/work/report.ipynb"},"idempotency_key":null,"traceparent":null}','d9cae0dbdbf078b2020e2abe5fcd74bc1edba83c35f6b8a86d638ed9b8d3d1f9');
INSERT INTO "launches" VALUES(3,'01KASTN0V0000000000SCR1PT1','ada','py:job-1f0e9d8c',NULL,NULL,'{"n":3}','{"agent":null,"options":{"name":null,"key":null,"if_exists":"attach","phases":null,"approve_before":[],"executor":null,"recovery":null,"timeouts":null,"env":{},"secrets":{},"labels":{},"priority":0},"runtime":null,"idempotency_key":null,"traceparent":null}','d9cae0dbdbf078b2020e2abe5fcd74bc1edba83c35f6b8a86d638ed9b8d3d1f9');
CREATE TABLE logs (
	id INTEGER NOT NULL, 
	task_id TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	line INTEGER NOT NULL, 
	stream TEXT NOT NULL, 
	at TEXT NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(task_id) REFERENCES tasks (task_id)
);
CREATE TABLE notebooks ( id INTEGER NOT NULL, owner TEXT NOT NULL, session TEXT NOT NULL, path TEXT, PRIMARY KEY (id), UNIQUE (owner, path), UNIQUE (owner, session) );
INSERT INTO "notebooks" VALUES(1,'ada','nb:report-4707010e','/work/report.ipynb');
CREATE TABLE phasenb_meta (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "phasenb_meta" VALUES('epoch','0123456789abcdef');
CREATE TABLE phasenb_migrations (
	version INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	applied_at TEXT NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "phasenb_migrations" VALUES(1,'the first tables','2026-11-25T00:00:00.000000Z');
INSERT INTO "phasenb_migrations" VALUES(2,'hosts and their leases','2026-11-25T00:00:00.000000Z');
INSERT INTO "phasenb_migrations" VALUES(3,'what changed since','2026-11-25T00:00:00.000000Z');
INSERT INTO "phasenb_migrations" VALUES(4,'notebooks and their sessions','2026-11-30T14:17:23.933989Z');
CREATE TABLE results (
	id INTEGER NOT NULL, 
	task_id TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (task_id, phase, attempt, kind, revision), 
	FOREIGN KEY(task_id) REFERENCES tasks (task_id)
);
INSERT INTO "results" VALUES(1,'01KASTN0V0000000000REP0RT1','fit',1,'phase',1,'complete','{"phase":"fit","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-25T12:00:00.000000Z","ended_at":"2026-11-25T12:00:02.000000Z","duration_s":2.0,"output":2,"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}');
INSERT INTO "results" VALUES(2,'01KASTN0V0000000000CH0SEN1','fit',1,'phase',1,'complete','{"phase":"fit","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-25T12:00:00.000000Z","ended_at":"2026-11-25T12:00:02.000000Z","duration_s":2.0,"output":3,"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}');
INSERT INTO "results" VALUES(3,'01KASTN0V0000000000SCR1PT1','fit',1,'phase',1,'complete','{"phase":"fit","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-25T12:00:00.000000Z","ended_at":"2026-11-25T12:00:02.000000Z","duration_s":2.0,"output":4,"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}');
CREATE TABLE tasks (
	task_id TEXT NOT NULL, 
	reversed_id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	session TEXT NOT NULL, 
	state TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	updated_at TEXT NOT NULL, 
	snapshot TEXT NOT NULL, 
	host TEXT, 
	fence INTEGER DEFAULT '0' NOT NULL, 
	executor TEXT, notebook INTEGER, 
	PRIMARY KEY (task_id), 
	UNIQUE (reversed_id)
);
INSERT INTO "tasks" VALUES('01KASTN0V0000000000REP0RT1','1TR0PER0000000000V0NTSAK10','ada','nb:report-4707010e','completed',4,'2026-11-25T12:00:04.000000Z','{"task_id":"01KASTN0V0000000000REP0RT1","session":"nb:report-4707010e","name":"fit","agent":"fit","state":"completed","phase":"fit","percent":100.0,"message":null,"eta_s":null,"phases":[{"name":"fit","status":"complete","attempt":1,"maximum_attempts":null,"percent":100.0,"started_at":"2026-11-25T12:00:02.000000Z","ended_at":"2026-11-25T12:00:03.000000Z","output_preview":"2","fallback":null,"set_aside":0}],"seq":4,"created_at":"2026-11-25T12:00:01.000000Z","updated_at":"2026-11-25T12:00:04.000000Z","started_at":"2026-11-25T12:00:02.000000Z","ended_at":"2026-11-25T12:00:04.000000Z","labels":{},"key":"once","notebook":"/work/report.ipynb","retry_at":null,"queue":null,"approval":null,"rolling_back":null,"error":null,"stopped":null,"actions":[],"by_host":null,"recent":["1 task_created","2 phase_started","3 phase_complete","4 task_complete"]}',NULL,1,NULL,1);
INSERT INTO "tasks" VALUES('01KASTN0V0000000000CH0SEN1','1NES0HC0000000000V0NTSAK10','ada','nightly','completed',4,'2026-11-25T12:00:04.000000Z','{"task_id":"01KASTN0V0000000000CH0SEN1","session":"nightly","name":"fit","agent":"fit","state":"completed","phase":"fit","percent":100.0,"message":null,"eta_s":null,"phases":[{"name":"fit","status":"complete","attempt":1,"maximum_attempts":null,"percent":100.0,"started_at":"2026-11-25T12:00:02.000000Z","ended_at":"2026-11-25T12:00:03.000000Z","output_preview":"3","fallback":null,"set_aside":0}],"seq":4,"created_at":"2026-11-25T12:00:01.000000Z","updated_at":"2026-11-25T12:00:04.000000Z","started_at":"2026-11-25T12:00:02.000000Z","ended_at":"2026-11-25T12:00:04.000000Z","labels":{},"key":null,"notebook":"/work/report.ipynb","retry_at":null,"queue":null,"approval":null,"rolling_back":null,"error":null,"stopped":null,"actions":[],"by_host":null,"recent":["1 task_created","2 phase_started","3 phase_complete","4 task_complete"]}',NULL,1,NULL,1);
INSERT INTO "tasks" VALUES('01KASTN0V0000000000SCR1PT1','1TP1RCS0000000000V0NTSAK10','ada','py:job-1f0e9d8c','completed',4,'2026-11-25T12:00:04.000000Z','{"task_id":"01KASTN0V0000000000SCR1PT1","session":"py:job-1f0e9d8c","name":"fit","agent":"fit","state":"completed","phase":"fit","percent":100.0,"message":null,"eta_s":null,"phases":[{"name":"fit","status":"complete","attempt":1,"maximum_attempts":null,"percent":100.0,"started_at":"2026-11-25T12:00:02.000000Z","ended_at":"2026-11-25T12:00:03.000000Z","output_preview":"4","fallback":null,"set_aside":0}],"seq":4,"created_at":"2026-11-25T12:00:01.000000Z","updated_at":"2026-11-25T12:00:04.000000Z","started_at":"2026-11-25T12:00:02.000000Z","ended_at":"2026-11-25T12:00:04.000000Z","labels":{},"key":null,"notebook":null,"retry_at":null,"queue":null,"approval":null,"rolling_back":null,"error":null,"stopped":null,"actions":[],"by_host":null,"recent":["1 task_created","2 phase_started","3 phase_complete","4 task_complete"]}',NULL,1,NULL,NULL);
CREATE INDEX tasks_changed ON tasks (owner, updated_at);
CREATE INDEX tasks_in_state ON tasks (owner, state, task_id);
CREATE INDEX tasks_of_host ON tasks (host);
CREATE INDEX tasks_of_owner ON tasks (owner, task_id);
CREATE INDEX tasks_of_session ON tasks (owner, session, task_id);
CREATE INDEX launches_by_key ON launches (owner, session, "key", id);
CREATE INDEX logs_of_task ON logs (task_id, id);
CREATE INDEX notebooks_at ON notebooks (path);
COMMIT;
