/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/metrics.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define VALUE "[0-9]+(\\.[0-9]{9})?"
#define LABEL "\"([^\"\\]|\\\\[\\\"n])*\""
#define SAMPLE                                                                 \
	"^(mote_[a-z_]+)\\{vm=" LABEL "(,[a-z]+=" LABEL ")?\\} " VALUE "$"
#define HELP "^# HELP (mote_[a-z_]+) [A-Z][^\\]*\\.$"
#define TYPE "^# TYPE (mote_[a-z_]+) (counter|gauge)$"

static struct metrics all(int64_t value)
{
	struct metrics m;

	for (int i = 0; i < METRICS; i++)
		m.value[i] = value;
	return m;
}

/* Every value known and as long as it can be. */
static struct metrics longest(void)
{
	struct metrics m = all(INT64_MAX);

	m.value[METRIC_STATE] = m.value[METRIC_RESTORE_MODE] = 1;
	return m;
}

static const char *prometheus(const struct metrics *m, const char *vm)
{
	static char text[METRICS_TEXT_MAX];
	int n = metrics_prometheus(m, vm, text, sizeof(text));

	cr_assert_gt(n, 0, "%d", n);
	cr_assert_eq((size_t)n, strlen(text));
	return text;
}

static struct json_object *json(const struct metrics *m, const char *vm)
{
	struct json_object *o = json_object_new_object(), *again;

	metrics_json(m, vm, o);
	again = json_tokener_parse(json_object_to_json_string(o));
	json_object_put(o);
	cr_assert_not_null(again);
	return again;
}

/* Does line match?  Its first group goes into name. */
static bool match(const char *pattern, const char *line, char name[64])
{
	regmatch_t m[2];
	regex_t re;
	int ret;

	cr_assert_eq(regcomp(&re, pattern, REG_EXTENDED), 0, "%s", pattern);
	ret = regexec(&re, line, 2, m, 0);
	regfree(&re);
	if (ret == 0)
		snprintf(name, 64, "%.*s", (int)(m[1].rm_eo - m[1].rm_so),
			 line + m[1].rm_so);
	return ret == 0;
}

/* How often text holds this. */
static int times(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Each line is one of the three kinds, each family has its head, once. */
static void check_text(const char *text)
{
	char copy[METRICS_TEXT_MAX], head[256], name[64], family[64] = "";
	bool typed = false;

	strcpy(copy, text);
	cr_assert_eq(copy[strlen(copy) - 1], '\n');
	for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
		if (match(HELP, line, name)) {
			snprintf(head, sizeof(head), "# TYPE %s ", name);
			cr_expect_eq(times(text, head), 1, "%s", head);
			snprintf(head, sizeof(head), "# HELP %s ", name);
			cr_expect_eq(times(text, head), 1, "%s", head);
			strcpy(family, name);
			typed = false;
		} else if (match(TYPE, line, name)) {
			cr_expect_str_eq(name, family);
			cr_expect_eq(strstr(line, "counter") != NULL,
				     strlen(name) > 6 &&
					     !strcmp(name + strlen(name) - 6,
						     "_total"),
				     "%s", line);
			typed = true;
		} else {
			cr_assert(match(SAMPLE, line, name), "%s", line);
			cr_expect_str_eq(name, family, "%s", line);
			cr_expect(typed, "%s", line);
			*strrchr(line, ' ') = 0;
			snprintf(head, sizeof(head), "%.250s ", line);
			cr_expect_eq(times(text, head), 1, "%s", head);
		}
	}
}

Test(metrics, every_number_has_a_name_in_both_forms)
{
	struct metrics m = all(1);
	struct json_object *o = json(&m, "a");

	cr_expect_eq(json_object_object_length(o), METRICS + 1);
	json_object_put(o);
	check_text(prometheus(&m, "a"));
	/* States and modes have a line for each word. */
	cr_expect_eq(times(prometheus(&m, "a"), "\nmote_"),
		     METRICS - 2 + 4 + 4);
}

Test(metrics, what_is_not_known_is_in_neither)
{
	for (int i = 0; i < METRICS; i++) {
		struct metrics m = all(-1);
		struct json_object *o;

		m.value[i] = 0;
		o = json(&m, "");
		cr_expect_eq(json_object_object_length(o), 2, "%d", i);
		json_object_put(o);
		cr_expect_eq(times(prometheus(&m, ""), "# TYPE"), 1, "%d", i);
		check_text(prometheus(&m, ""));
	}
}

Test(metrics, a_lying_vm_process_breaks_no_form)
{
	static const int64_t odd[] = {INT64_MIN, -2, 3, 4, 1000, INT64_MAX};
	char text[METRICS_TEXT_MAX];

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct metrics m = all(odd[i]);
		struct json_object *o = json(&m, "a"), *state;
		int n = metrics_prometheus(&m, "a", text, sizeof(text));

		cr_expect_eq(json_object_object_get_ex(o, "state", &state),
			     odd[i] == 3);
		json_object_put(o);
		cr_assert_geq(n, 0);
		if (n > 0)
			check_text(text);
	}
}

Test(metrics, words_are_words)
{
	struct metrics m = all(1);
	struct json_object *o, *v;
	const char *text;

	m.value[METRIC_STATE] = 2;
	o = json(&m, "n.1");
	cr_assert(json_object_object_get_ex(o, "state", &v));
	cr_expect_str_eq(json_object_get_string(v), "paused");
	cr_assert(json_object_object_get_ex(o, "vm", &v));
	cr_expect_str_eq(json_object_get_string(v), "n.1");
	cr_assert(json_object_object_get_ex(o, "restore_mode", &v));
	cr_expect_str_eq(json_object_get_string(v), "cow");
	cr_assert(json_object_object_get_ex(o, "ready", &v));
	cr_expect(json_object_is_type(v, json_type_boolean));
	json_object_put(o);
	text = prometheus(&m, "n.1");
	cr_expect_not_null(
		strstr(text, "\nmote_state{vm=\"n.1\",state=\"paused\"} 1\n"));
	cr_expect_not_null(
		strstr(text, "\nmote_state{vm=\"n.1\",state=\"running\"} 0\n"));
}

Test(metrics, times_are_seconds_for_prometheus_and_ns_in_json)
{
	struct metrics m = all(-1);
	struct json_object *o, *v;

	m.value[METRIC_RESTORE_TIME] = 1500000042;
	cr_expect_not_null(strstr(prometheus(&m, "a"),
				  "\nmote_restore_seconds{vm=\"a\"} "
				  "1.500000042\n"));
	o = json(&m, "a");
	cr_assert(json_object_object_get_ex(o, "restore_ns", &v));
	cr_expect_eq(json_object_get_int64(v), 1500000042);
	json_object_put(o);
}

Test(metrics, an_odd_name_is_escaped)
{
	const char *name = "a\"b\\c\nd";
	struct metrics m = all(1);
	struct json_object *o = json(&m, name), *v;

	cr_assert(json_object_object_get_ex(o, "vm", &v));
	cr_expect_str_eq(json_object_get_string(v), name);
	json_object_put(o);
	check_text(prometheus(&m, name));
	cr_expect_not_null(strstr(prometheus(&m, name),
				  "\nmote_ready{vm=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

Test(metrics, the_longest_fits_and_what_does_not_is_told)
{
	struct metrics m = longest();
	char name[65], text[METRICS_TEXT_MAX];
	int n;

	memset(name, 'n', 64);
	name[64] = 0;
	check_text(prometheus(&m, name));
	n = metrics_prometheus(&m, name, text, sizeof(text));
	cr_expect_eq(metrics_prometheus(&m, name, text, (size_t)n), -ENOSPC);
	cr_expect_eq(metrics_prometheus(&m, name, text, (size_t)n + 1), n);
	cr_expect_eq(metrics_prometheus(&m, name, text, 1), -ENOSPC);
}
