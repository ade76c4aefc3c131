// Everything an embedding program needs.
#pragma once

#include "ranvier/autograd.h"
#include "ranvier/config.h"
#include "ranvier/error.h"
#include "ranvier/io.h"
#include "ranvier/ops.h"
#include "ranvier/program.h"
#include "ranvier/random.h"
#include "ranvier/tensor.h"
