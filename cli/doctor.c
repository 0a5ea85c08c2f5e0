/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.c - mote doctor: what this host offers, and what each lack costs.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"

static void say_text(void *opaque, const struct mote_finding *f)
{
	(void)opaque;
	printf("%-4s %s%s%s\n", f->ok ? "ok" : "no", f->name,
	       f->detail[0] ? ": " : "", f->detail);
	if (f->cost[0])
		printf("     cost: %s\n", f->cost);
	if (f->remedy[0])
		printf("     remedy: %s\n", f->remedy);
}

static void say_json(void *opaque, const struct mote_finding *f)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(f->name));
	json_object_object_add(o, "ok", json_object_new_boolean(f->ok));
	json_object_object_add(o, "detail", json_object_new_string(f->detail));
	json_object_object_add(o, "cost", json_object_new_string(f->cost));
	json_object_object_add(o, "remedy", json_object_new_string(f->remedy));
	json_object_array_add(opaque, o);
}

static const char *verdict_name(enum mote_trap_verdict v)
{
	switch (v) {
	case MOTE_TRAP_AS_EXPECTED:
		return "as expected";
	case MOTE_TRAP_DIFFERS:
		return "differs";
	default:
		return "absent";
	}
}

static void say_trap_text(void *opaque, const struct mote_trap *t)
{
	(void)opaque;
	printf("%-11s  %s%s%s\n", verdict_name(t->verdict), t->name,
	       t->detail[0] ? ": " : "", t->detail);
	fflush(stdout); /* the next one may take its time */
}

static void say_trap_json(void *opaque, const struct mote_trap *t)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(t->name));
	json_object_object_add(
		o, "verdict", json_object_new_string(verdict_name(t->verdict)));
	json_object_object_add(o, "detail", json_object_new_string(t->detail));
	json_object_array_add(opaque, o);
}

int cmd_doctor(int argc, char **argv)
{
	struct json_object *list;
	bool json = false, uapi = false;
	bool ok;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--uapi"))
			uapi = true;
		else
			return fail(ERR_CLASS_USAGE,
				    "doctor: %s: expected --uapi or --json",
				    argv[i]);
	}
	list = json_object_new_array();
	if (uapi)
		ok = mote_doctor_uapi(json ? say_trap_json : say_trap_text,
				      list);
	else
		ok = mote_doctor(json ? say_json : say_text, list);
	if (json)
		printf("%s\n", json_object_to_json_string_ext(
				       list, JSON_C_TO_STRING_PRETTY));
	json_object_put(list);
	if (fflush(stdout) != 0)
		return fail(ERR_CLASS_IO, "standard output: %m");
	if (!ok && uapi)
		return fail(ERR_CLASS_UNAVAILABLE, "this kernel differs from "
						   "what mote relies on");
	if (!ok)
		return fail(ERR_CLASS_UNAVAILABLE, "no guest can run here");
	return 0;
}
