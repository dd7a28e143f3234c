#include "roles/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "roles/role.h"

enum { DEPTH_MAX = 16 };

static enum result failed(const char *name, struct why *why)
{
	return why_set(why, FAILED, "%s: cannot be given to its role: %s", name, strerror(errno));
}

static enum result give_folder(int fd, uid_t uid, int depth, struct why *why);

/* A name in a folder. Links are not followed, and files with several names are left alone: one of them may be elsewhere. */
static enum result give_entry(int folder, const char *name, uid_t uid, int depth, struct why *why)
{
	struct stat st;
	int fd;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? OK : failed(name, why);
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
		fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? failed(name, why) : give_folder(fd, uid, depth + 1, why);
	}
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid == uid)
		return OK;
	return fchownat(folder, name, uid, uid, AT_SYMLINK_NOFOLLOW) == 0 ? OK : failed(name, why);
}

/* Closes fd. */
static enum result give_folder(int fd, uid_t uid, int depth, struct why *why)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	enum result r = OK;

	if (!dir || fchown(fd, uid, uid) != 0)
		r = failed("a folder", why);
	while (r == OK && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = give_entry(fd, entry->d_name, uid, depth, why);
	if (dir)
		closedir(dir);
	else
		close(fd);
	return r;
}

static uid_t uid_of(unsigned bit, unsigned uid_base)
{
	return uid_base + role_number(&(struct role){.bit = bit});
}

/* Not there during setup. */
static enum result give_socket(int directory, uid_t owner, struct why *why)
{
	int run = openat(directory, "run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool given = run >= 0 &&
	             (fchownat(run, "admin.sock", owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) == 0 ||
	              errno == ENOENT);
	enum result r = given ? OK : failed("run/admin.sock", why);

	if (run >= 0)
		close(run);
	return r;
}

enum result owner_give_keys(int directory, unsigned uid_base, struct why *why)
{
	return give_entry(directory, "keys", uid_of(KEEPER, uid_base), 0, why);
}

enum result owner_give(int directory, uid_t owner, unsigned uid_base, struct why *why)
{
	enum result r = give_entry(directory, "data", uid_of(STORE, uid_base), 0, why);

	if (r == OK)
		r = give_entry(directory, "etc", uid_of(STORE, uid_base), 0, why);
	if (r == OK)
		r = owner_give_keys(directory, uid_base, why);
	return r == OK ? give_socket(directory, owner, why) : r;
}
