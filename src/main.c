/* One binary: what people call, and the roles that master executes it as. */
#include <string.h>

#include "cli/cli.h"
#include "roles/config_reader.h"
#include "roles/role.h"

int main(int argc, char **argv)
{
	if (argc == 3 && !cli_mail_name(argv[0]) && strcmp(argv[1], "role") == 0)
		return strcmp(argv[2], CONFIG_READER_NAME) == 0 ? config_reader_main()
		                                                : role_main(argv[2]);
	return cli_main(argc, argv);
}
