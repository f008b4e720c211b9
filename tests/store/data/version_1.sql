BEGIN TRANSACTION;
CREATE TABLE checkpoints (
	task_id TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (task_id, phase), 
	FOREIGN KEY(task_id) REFERENCES tasks (task_id)
);
INSERT INTO "checkpoints" VALUES('01KASTN0V0000000000PENGVNS','research',1,'{"row":7}');
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
INSERT INTO "events" VALUES(1,'01KASTN0V0000000000PENGVNS',1,'task_created','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":1,"at":"2026-11-23T12:00:01.250000Z","type":"task_created","name":"penguins","agent":"fit","phases":["research","planning","implementation"],"inputs":{"path":"penguins.csv"},"labels":{"team":"birds"},"key":"2026-W47"}');
INSERT INTO "events" VALUES(2,'01KASTN0V0000000000PENGVNS',2,'phase_started','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":2,"at":"2026-11-23T12:00:02.250000Z","phase":"research","attempt":1,"kind":"phase","type":"phase_started","worker":"process-1"}');
INSERT INTO "events" VALUES(3,'01KASTN0V0000000000PENGVNS',3,'phase_failed','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":3,"at":"2026-11-23T12:00:03.250000Z","phase":"research","attempt":1,"kind":"phase","type":"phase_failed","error":{"type":"ValueError","message":"no such column","traceback":"Traceback ...","retryable":true,"bases":["ValueError"],"retry_after_s":null},"next":"retry"}');
INSERT INTO "events" VALUES(4,'01KASTN0V0000000000PENGVNS',4,'phase_retrying','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":4,"at":"2026-11-23T12:00:04.250000Z","type":"phase_retrying","phase":"research","attempt":2,"maximum_attempts":3,"delay_s":1.0,"due_at":"2026-11-23T12:00:04.250000Z"}');
INSERT INTO "events" VALUES(5,'01KASTN0V0000000000PENGVNS',5,'phase_started','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":5,"at":"2026-11-23T12:00:05.250000Z","phase":"research","attempt":2,"kind":"phase","type":"phase_started","worker":"process-1"}');
INSERT INTO "events" VALUES(6,'01KASTN0V0000000000PENGVNS',6,'phase_complete','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":6,"at":"2026-11-23T12:00:06.250000Z","phase":"research","attempt":2,"kind":"phase","type":"phase_complete","result":{"phase":"research","attempt":2,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-23T12:00:00.250000Z","ended_at":"2026-11-23T12:00:05.250000Z","duration_s":5.0,"output":{"$object":"sha256:0000000000000000000000000000000000000000000000000000000000000000","codec":"parquet","type":"pandas.DataFrame","bytes":2048,"shape":[344,8],"preview":"  species\n0  Adelie"},"output_type":"pandas.DataFrame","output_bytes":2048,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}}');
INSERT INTO "events" VALUES(7,'01KASTN0V0000000000PENGVNS',7,'phase_started','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":7,"at":"2026-11-23T12:00:07.250000Z","phase":"planning","attempt":1,"kind":"phase","type":"phase_started","worker":"process-1"}');
INSERT INTO "events" VALUES(8,'01KASTN0V0000000000PENGVNS',8,'phase_complete','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":8,"at":"2026-11-23T12:00:08.250000Z","phase":"planning","attempt":1,"kind":"phase","type":"phase_complete","result":{"phase":"planning","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-23T12:00:00.250000Z","ended_at":"2026-11-23T12:00:07.250000Z","duration_s":7.0,"output":{"features":["mass_g"]},"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{"r2":0.5},"artifacts":[],"fallback":null}}');
INSERT INTO "events" VALUES(9,'01KASTN0V0000000000PENGVNS',9,'phase_started','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":9,"at":"2026-11-23T12:00:09.250000Z","phase":"implementation","attempt":1,"kind":"phase","type":"phase_started","worker":"process-1"}');
INSERT INTO "events" VALUES(10,'01KASTN0V0000000000PENGVNS',10,'phase_complete','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":10,"at":"2026-11-23T12:00:10.250000Z","phase":"implementation","attempt":1,"kind":"phase","type":"phase_complete","result":{"phase":"implementation","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-23T12:00:00.250000Z","ended_at":"2026-11-23T12:00:09.250000Z","duration_s":9.0,"output":[1,2.5,null,"it''s"],"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}}');
INSERT INTO "events" VALUES(11,'01KASTN0V0000000000PENGVNS',11,'task_complete','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","seq":11,"at":"2026-11-23T12:00:11.250000Z","type":"task_complete","duration_s":9.0}');
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
INSERT INTO "launches" VALUES(1,'01KASTN0V0000000000PENGVNS','ada','nb:penguins','once','2026-W47','{"path":"penguins.csv"}','{"agent":null,"options":{"name":null,"key":"2026-W47","if_exists":"attach","phases":null,"executor":null,"recovery":null,"timeouts":null,"labels":{"team":"birds"},"priority":0},"runtime":null,"idempotency_key":"once"}','d9cae0dbdbf078b2020e2abe5fcd74bc1edba83c35f6b8a86d638ed9b8d3d1f9');
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
INSERT INTO "logs" VALUES(1,'01KASTN0V0000000000PENGVNS','research',1,1,'stdout','2026-11-23T12:00:01.250000Z','reading');
INSERT INTO "logs" VALUES(2,'01KASTN0V0000000000PENGVNS','research',1,2,'stdout','2026-11-23T12:00:01.250000Z','done');
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
INSERT INTO "phasenb_migrations" VALUES(1,'the first tables','2026-11-24T00:00:00.000000Z');
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
INSERT INTO "results" VALUES(1,'01KASTN0V0000000000PENGVNS','research',1,'phase',1,'failed','{"phase":"research","attempt":1,"kind":"phase","revision":1,"status":"failed","started_at":"2026-11-23T12:00:00.250000Z","ended_at":"2026-11-23T12:00:02.250000Z","duration_s":2.0,"output":null,"output_type":null,"output_bytes":null,"error":{"type":"ValueError","message":"no such column","traceback":"Traceback ...","retryable":true,"bases":["ValueError"],"retry_after_s":null},"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}');
INSERT INTO "results" VALUES(2,'01KASTN0V0000000000PENGVNS','research',2,'phase',1,'complete','{"phase":"research","attempt":2,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-23T12:00:00.250000Z","ended_at":"2026-11-23T12:00:05.250000Z","duration_s":5.0,"output":{"$object":"sha256:0000000000000000000000000000000000000000000000000000000000000000","codec":"parquet","type":"pandas.DataFrame","bytes":2048,"shape":[344,8],"preview":"  species\n0  Adelie"},"output_type":"pandas.DataFrame","output_bytes":2048,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}');
INSERT INTO "results" VALUES(3,'01KASTN0V0000000000PENGVNS','planning',1,'phase',1,'complete','{"phase":"planning","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-23T12:00:00.250000Z","ended_at":"2026-11-23T12:00:07.250000Z","duration_s":7.0,"output":{"features":["mass_g"]},"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{"r2":0.5},"artifacts":[],"fallback":null}');
INSERT INTO "results" VALUES(4,'01KASTN0V0000000000PENGVNS','implementation',1,'phase',1,'complete','{"phase":"implementation","attempt":1,"kind":"phase","revision":1,"status":"complete","started_at":"2026-11-23T12:00:00.250000Z","ended_at":"2026-11-23T12:00:09.250000Z","duration_s":9.0,"output":[1,2.5,null,"it''s"],"output_type":null,"output_bytes":null,"error":null,"worker":"process-1","metrics":{},"artifacts":[],"fallback":null}');
CREATE TABLE tasks (
	task_id TEXT NOT NULL, 
	reversed_id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	session TEXT NOT NULL, 
	state TEXT NOT NULL, 
	seq INTEGER NOT NULL, 
	updated_at TEXT NOT NULL, 
	snapshot TEXT NOT NULL, 
	PRIMARY KEY (task_id), 
	UNIQUE (reversed_id)
);
INSERT INTO "tasks" VALUES('01KASTN0V0000000000PENGVNS','SNVGNEP0000000000V0NTSAK10','ada','nb:penguins','completed',11,'2026-11-23T12:00:11.250000Z','{"task_id":"01KASTN0V0000000000PENGVNS","session":"nb:penguins","name":"penguins","agent":"fit","state":"completed","phase":"implementation","percent":100.0,"message":null,"eta_s":null,"phases":[{"name":"research","status":"complete","attempt":2,"maximum_attempts":3,"percent":100.0,"started_at":"2026-11-23T12:00:05.250000Z","ended_at":"2026-11-23T12:00:06.250000Z","output_preview":"  species\n0  Adelie"},{"name":"planning","status":"complete","attempt":1,"maximum_attempts":null,"percent":100.0,"started_at":"2026-11-23T12:00:07.250000Z","ended_at":"2026-11-23T12:00:08.250000Z","output_preview":"{''features'': [''mass_g'']}"},{"name":"implementation","status":"complete","attempt":1,"maximum_attempts":null,"percent":100.0,"started_at":"2026-11-23T12:00:09.250000Z","ended_at":"2026-11-23T12:00:10.250000Z","output_preview":"[1, 2.5, None, \"it''s\"]"}],"seq":11,"created_at":"2026-11-23T12:00:01.250000Z","updated_at":"2026-11-23T12:00:11.250000Z","started_at":"2026-11-23T12:00:02.250000Z","ended_at":"2026-11-23T12:00:11.250000Z","labels":{"team":"birds"},"key":"2026-W47","retry_at":null,"queue":null,"approval":null,"rolling_back":null,"error":null,"actions":[],"by_host":null,"recent":["7 phase_started","8 phase_complete","9 phase_started","10 phase_complete","11 task_complete"]}');
CREATE INDEX tasks_in_state ON tasks (owner, state, task_id);
CREATE INDEX tasks_of_owner ON tasks (owner, task_id);
CREATE INDEX tasks_of_session ON tasks (owner, session, task_id);
CREATE INDEX launches_by_key ON launches (owner, session, "key", id);
CREATE INDEX logs_of_task ON logs (task_id, id);
COMMIT;
