/* SPDX-License-Identifier: MIT */
// A program in C++ that uses the installed headers and library.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <tn.h>

// Suspends in its handler, while another task suspends in its own.
static bool handles_its_own(const char *name)
{
    try {
        throw std::runtime_error(name);
    } catch (const std::exception &) {
        tn_sleep(TN_MS);
        try {
            throw;
        } catch (const std::exception &again) {
            return std::string(name) == again.what();
        }
    }
}

extern "C" {

static void *answer(void *arg)
{
    return new std::string(*static_cast<std::string *>(arg) + (handles_its_own("first") ? " tournant" : " lost its exception"));
}

static void *start(void *)
{
    std::string language = "C++";
    tn_task *task = nullptr;
    void *result = nullptr;
    if (tn_spawn(&task, answer, &language) == 0 && handles_its_own("second") && tn_join(task, &result) == 0) {
        std::printf("%s\n", static_cast<std::string *>(result)->c_str());
        delete static_cast<std::string *>(result);
    }
    return nullptr;
}
}

int main()
{
    tn_options options = tn_options_default();
    options.workers = 2;
    return tn_run(start, nullptr, &options) == 0 ? 0 : 1;
}
