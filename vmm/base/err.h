/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - the one error type: a caller-owned message beside -errno.
 *
 * Threads: any; a struct belongs to one thread at a time.  Nothing here
 * allocates.  Long text loses its outermost words, never the cause.
 */
#ifndef VMM_BASE_ERR_H
#define VMM_BASE_ERR_H

/* As in mote.h, which an embedder includes alone. */
#ifndef MOTE_ERR_MAX
#define MOTE_ERR_MAX 1024
struct mote_err {
	int code;	/* positive errno of the cause, 0 when unset */
	int exit_class; /* enum err_class, 0: by errno */
	char msg[MOTE_ERR_MAX];
};
#endif

/* Exit codes of mote(1) for errors whose errno does not tell the kind. */
enum err_class {
	ERR_CLASS_NONE = 0,
	ERR_CLASS_USAGE = 64,
	ERR_CLASS_DATA = 65,
	ERR_CLASS_UNAVAILABLE = 69,
	ERR_CLASS_INTERNAL = 70,
	ERR_CLASS_OS = 71,
	ERR_CLASS_IO = 74,
	ERR_CLASS_GUEST = 75,
	ERR_CLASS_PERM = 77,
};

/*
 * Set message and code; returns -code so that it can end a function.
 * err may be NULL.  code is a positive errno.
 */
int err_set(struct mote_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set, with the exit class that the front end shall use. */
int err_set_class(struct mote_err *err, int code, enum err_class class,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Put "context: " in front of the message; returns ret unchanged. */
int err_wrap(struct mote_err *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The class of a failed open(2) or bind(2) of a path that a user gave: bad
 * input where the path is at fault, else by errno.
 */
enum err_class err_path_class(int code);

/* The exit code of mote(1) for this error: its class, or one by errno. */
int err_exit_code(const struct mote_err *err);

#endif
