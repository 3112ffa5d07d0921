/* SPDX-License-Identifier: MIT */
// A program in C++ that uses the installed headers and library.
#include <cstdio>
#include <string>
#include <tn.h>

extern "C" {

static void *answer(void *arg)
{
    tn_sleep(TN_MS);
    return new std::string(*static_cast<std::string *>(arg) + " tournant");
}

static void *start(void *)
{
    std::string language = "C++";
    tn_task *task = nullptr;
    void *result = nullptr;
    if (tn_spawn(&task, answer, &language) == 0 && tn_join(task, &result) == 0) {
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
