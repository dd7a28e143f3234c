/* `route` and `source` sections: what is accepted, what is said of what is not, which one is chosen, and that the octets
 * for the roles say the same. */
#include "base/buf.h"
#include "config_test.h"

