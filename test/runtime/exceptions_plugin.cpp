/* SPDX-License-Identifier: MIT */
// A plug-in that throws exceptions and suspends while it handles them.
#include "exceptions_plugin.h"

#include <exception>
#include <stdexcept>
#include <string>

namespace {

bool is_current(const std::string &text)
{
    try {
        throw;
    } catch (const std::exception &current) {
        return text == current.what();
    }
}

bool is_idle()
{
    return std::current_exception() == nullptr && std::uncaught_exceptions() == 0;
}

struct suspends_when_destroyed {
    plugin_suspend suspend;
    int &good;

    ~suspends_when_destroyed()
    {
        bool before = std::uncaught_exceptions() == 1;
        suspend();
        good = before && std::uncaught_exceptions() == 1;
    }
};

int nested(plugin_suspend suspend, const std::string &name)
{
    int good = 1;

    try {
        throw std::runtime_error(name + " outer");
    } catch (const std::exception &) {
        suspend();
        try {
            throw std::logic_error(name + " inner");
        } catch (const std::exception &) {
            suspend();
            good = good && is_current(name + " inner");
            suspend();
        }
        suspend();
        good = good && is_current(name + " outer");
    }
    return good;
}

int unwind(plugin_suspend suspend, const std::string &name)
{
    int good = 0;

    try {
        suspends_when_destroyed guard{suspend, good};
        throw std::runtime_error(name);
    } catch (const std::exception &) {
        suspend();
        return good && std::uncaught_exceptions() == 0 && is_current(name);
    }
}

int capture(plugin_suspend suspend, const std::string &name)
{
    std::exception_ptr kept;

    try {
        throw std::runtime_error(name);
    } catch (...) {
        suspend();
        kept = std::current_exception();
        suspend();
    }
    suspend();
    try {
        std::rethrow_exception(kept);
    } catch (const std::exception &again) {
        suspend();
        return name == again.what() && is_current(name);
    }
}

} // namespace

extern "C" int plugin_catch(plugin_suspend suspend, const char *name)
{
    int good = is_idle();

    try {
        throw std::runtime_error(name);
    } catch (const std::exception &own) {
        suspend();
        good = good && name == std::string(own.what()) && is_current(name);
    }
    return good && is_idle();
}

extern "C" int plugin_nested(plugin_suspend suspend, const char *name)
{
    return is_idle() && nested(suspend, name) && is_idle();
}

extern "C" int plugin_unwind(plugin_suspend suspend, const char *name)
{
    return is_idle() && unwind(suspend, name) && is_idle();
}

extern "C" int plugin_capture(plugin_suspend suspend, const char *name)
{
    return is_idle() && capture(suspend, name) && is_idle();
}
