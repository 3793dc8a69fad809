#include "tests/ir/fixture.h"
int main(void)
{
    return check_done();
}
