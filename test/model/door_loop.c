#include "engine.h"
void door_loop_reset(void) {}
