/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void
err_vset(struct mote_err *err, int code, int class, const char *fmt, va_list ap)
{
	err->code = code;
	err->exit_class = class;
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
}

int err_set(struct mote_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		err_vset(err, code, ERR_CLASS_NONE, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_set_class(struct mote_err *err, int code, enum err_class class,
		  const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		err_vset(err, code, class, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_wrap(struct mote_err *err, int ret, const char *fmt, ...)
{
	char context[256];
	size_t used, keep;
	va_list ap;

	if (!err)
		return ret;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);

	/* The cause stays whole: what does not fit is cut off the context. */
	keep = strlen(err->msg);
	used = strlen(context);
	if (used + 2 + keep >= sizeof(err->msg))
		used = keep + 3 < sizeof(err->msg) ? sizeof(err->msg) - 3 - keep
						   : 0;
	if (used == 0)
		return ret;
	memmove(err->msg + used + 2, err->msg, keep + 1);
	memcpy(err->msg, context, used);
	memcpy(err->msg + used, ": ", 2);
	return ret;
}

enum err_class err_path_class(int code)
{
	switch (code) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case EMLINK:
	case ENAMETOOLONG:
	case EADDRINUSE:
	case ENXIO: /* a fifo that nobody reads, a socket */
		return ERR_CLASS_DATA;
	default:
		return ERR_CLASS_NONE;
	}
}

int err_exit_code(const struct mote_err *err)
{
	if (err->exit_class)
		return err->exit_class;
	switch (err->code) {
	case EACCES:
	case EPERM:
		return ERR_CLASS_PERM;
	case EIO:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EROFS:
		return ERR_CLASS_IO;
	case EBADMSG:
	case ENOEXEC:
		return ERR_CLASS_DATA;
	case EOPNOTSUPP:
	case ENODEV:
	case ENXIO:
		return ERR_CLASS_UNAVAILABLE;
	default:
		return ERR_CLASS_OS;
	}
}
